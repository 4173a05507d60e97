PREFIX = /usr/local
DESTDIR =

build:
	scripts/deno task build

test:
	scripts/deno task test

package:
	scripts/deno task package

ok:
	scripts/deno task ok

install: build
	install -D -m 755 dist/plakar-proxmox $(DESTDIR)$(PREFIX)/bin/plakar-proxmox
	install -D -m 644 docs/plakar-proxmox.1 $(DESTDIR)$(PREFIX)/share/man/man1/plakar-proxmox.1

clean:
	rm -rf dist

.PHONY: build test package ok install clean
