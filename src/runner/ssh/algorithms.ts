import type { Algorithms } from "./library.ts";

/**
 * What to ask for, from the most wanted: only what OpenSSH offers by default, without SHA-1, and in each list
 * first what this runtime does fastest. Relative speed of 1 GiB through a channel of a local sshd, Deno 2.7:
 *
 *                                   read   write
 *     aes*-ctr, hmac-sha2-256-etm   1.00   1.00
 *     aes*-ctr, hmac-sha2-256       0.80   0.90
 *     aes*-ctr, hmac-sha2-512-etm   0.75   0.85
 *     aes*-gcm                      0.70   0.75
 *
 * The length of a key makes no difference, GCM makes a new cipher for each packet, and a MAC of the plain text costs
 * a copy of each; encrypt-then-MAC goes first all the same, as in OpenSSH. chacha20-poly1305 and ecdh-sha2-nistp521
 * are left out since node:crypto lacks them here.
 */
export const ALGORITHMS: Omit<Algorithms, "serverHostKey"> = {
  kex: [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
  ],
  cipher: ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"],
  hmac: [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
  ],
  // Archives are compressed or random already, and zlib would be the slowest part.
  compress: ["none"],
};
