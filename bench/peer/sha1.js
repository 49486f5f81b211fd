// SHA-1 of short texts, without a call into the platform, which would cost more than the digest.

const encoder = new TextEncoder();
const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const words = new Int32Array(80);
let bytes = new Uint8Array(1024);
let view = new DataView(bytes.buffer);

/** Returns the first 96 bits of the digest of a text, in base64url. */
export function digest96(text) {
  if (text.length * 3 + 72 > bytes.length) {
    bytes = new Uint8Array(text.length * 3 + 72);
    view = new DataView(bytes.buffer);
  }
  const { written } = encoder.encodeInto(text, bytes);
  const end = (written + 72) & ~63;
  bytes.fill(0, written, end);
  bytes[written] = 0x80;
  view.setUint32(end - 4, written * 8);

  let h0 = 0x67452301;
  let h1 = 0xefcdab89 | 0;
  let h2 = 0x98badcfe | 0;
  let h3 = 0x10325476;
  let h4 = 0xc3d2e1f0 | 0;
  for (let block = 0; block < end; block += 64) {
    for (let i = 0; i < 16; i += 1) words[i] = view.getInt32(block + i * 4);
    for (let i = 16; i < 80; i += 1) {
      const word = words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16];
      words[i] = (word << 1) | (word >>> 31);
    }
    let a = h0;
    let b = h1;
    let c = h2;
    let d = h3;
    let e = h4;
    let i = 0;
    for (; i < 20; i += 1) {
      const next = (((a << 5) | (a >>> 27)) + ((b & c) | (~b & d)) + e + 0x5a827999 + words[i]) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    for (; i < 40; i += 1) {
      const next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + 0x6ed9eba1 + words[i]) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    for (; i < 60; i += 1) {
      const next = (((a << 5) | (a >>> 27)) + ((b & c) | (b & d) | (c & d)) + e + 0x8f1bbcdc + words[i]) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    for (; i < 80; i += 1) {
      const next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + 0xca62c1d6 + words[i]) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    h0 = (h0 + a) | 0;
    h1 = (h1 + b) | 0;
    h2 = (h2 + c) | 0;
    h3 = (h3 + d) | 0;
    h4 = (h4 + e) | 0;
  }
  return base64url(h0, h1, h2);
}

/** Encodes 96 bits as four times four characters. */
function base64url(h0, h1, h2) {
  return (
    four(h0 >>> 8) +
    four(((h0 & 0xff) << 16) | (h1 >>> 16)) +
    four(((h1 & 0xffff) << 8) | (h2 >>> 24)) +
    four(h2 & 0xffffff)
  );
}

const four = (bits) =>
  BASE64URL[bits >>> 18] + BASE64URL[(bits >>> 12) & 63] + BASE64URL[(bits >>> 6) & 63] + BASE64URL[bits & 63];
