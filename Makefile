PREFIX = /usr/local
DESTDIR =

build:
	scripts/deno task build

test:
	scripts/deno task test

ok:
	scripts/deno task ok

install: build
	install -D -m 755 dist/plakar-proxmox $(DESTDIR)$(PREFIX)/bin/plakar-proxmox

clean:
	rm -rf dist

.PHONY: build test ok install clean
