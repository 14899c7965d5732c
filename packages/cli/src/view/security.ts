/** Who may ask the server, for what, and what browsers are told of each answer. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** An answer without a file: the status, and one line for people. */
export interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** As in the <meta> of the built page (packages/viewer/content-security-policy.ts), with what only a header can say. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "font-src 'self'",
  "connect-src 'self' https:",
  "worker-src 'self'",
  "manifest-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** With every answer, refusals too. There is never an Access-Control header: no other page may read anything. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), serial=(), payment=()',
};

/** Of a request that is not from the page, whatever it asks for; undefined when it may go on. */
export function refusalOf({ method, headers, rawHeaders }: IncomingMessage, port: number): Refusal | undefined {
  const hosts = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
  const { host = '', origin } = headers;
  // A page of another name that resolves to 127.0.0.1 (DNS rebinding) still sends its own name.
  if (hosts !== 1 || (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`)) {
    return { status: 421, text: `This server answers to http://127.0.0.1:${port} alone.` };
  }
  if (origin !== undefined && origin !== `http://${host}`) return { status: 403, text: 'Refused: another origin.' };
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return { status: 403, text: 'Refused: asked for by another site. Open the address that soup view printed.' };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, text: 'Only GET and HEAD are answered.', headers: { allow: 'GET, HEAD' } };
  }
  const length = headers['content-length'];
  if ((length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined) {
    return { status: 413, text: 'Requests may not have a body.' };
  }
  return undefined;
}

/** In constant time: hashes have one length, and nothing in common where the texts differ. */
export function hasToken({ headers: { authorization = '' } }: IncomingMessage, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(authorization), digest(`Bearer ${token}`));
}

/** The path of a request, decoded once; undefined for every spelling that an honest page does not use. */
export function pathOf(target: string | undefined): string | undefined {
  const path = (target ?? '').split('?', 1)[0]!;
  if (!path.startsWith('/')) return undefined;
  try {
    const parts = path.slice(1).split('/').map(decodeURIComponent);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const isBad = (part: string) => part === '.' || part === '..' || /[/\\\x00-\x1f\x7f]/.test(part);
    return parts.some(isBad) ? undefined : parts.join('/');
  } catch {
    return undefined;
  }
}
