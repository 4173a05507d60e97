/** Public host keys for the tests, as they stand in known_hosts; their secret halves are gone. */

export const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9QDcjv0B5ORgs8WHlcAQ9NKfQwwZkafe9KnRMIs41k";
export const ED25519_FINGERPRINT = "SHA256:BXdrCEvv8h68D5E0PC7D1MzVvmp+HbM98kHeQ9PaXgs";
export const OTHER_ED25519 =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILbStSqeuvfWPbeUHpaUwiDWO4DBG8bORhtKwn2Frm8L";
export const OTHER_ED25519_FINGERPRINT = "SHA256:+FuxddjGE5VD2qLxWEbwqYxsq1EhYi7K+B+WPEADcqM";
export const RSA =
  "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCzOKaBKGKRZpAWb6HN+ReX6mv8vhf/ppKzImDjxgNdEO+jrq7PC5/My7Kx5hP5ec8Q/hHCKSZPtCqEDjbH8HCi7oRmz6G2vntSN+mnlhs8stVrZPw6jRAD4rkzKDlv5EFyfyUxfv+sWmZ+DToOTcg6u1KrpHICq8YZ5QgYqH+2AyPs9jWbiegDCb0Vd2utvEU2SCLQwy/uZwSfEWpF0weNaw9TRHA7K5L1Vzr5h6w4sIKcVt1D0Hs/twslATt59QtJUUSDDfsElH6nfOvMyver9yYWxn+FnEqYCLa5r7aurFLymiKpgWMQubj8WkfgU8Ob9MSfIVt5X4mq36vwPpmd";
export const ECDSA =
  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPTplSfi2mLlHfqpZdHrO/2sOJXg6fdumuJZDOJLlhgTRuazsfJtAiCsBXwOrKksoQeeiBoL+Q6x4OT58hEk2NA=";
