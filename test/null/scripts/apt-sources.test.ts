import { describe, expect, it } from 'vitest';
import { backportsKnown, debianMirror, defaultMirror, parseSources } from '../../../scripts/setup/apt-sources.mjs';

const paragraphs = `Types: deb
# http://snapshot.example/archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`;

describe('parseSources', () => {
  it('reads paragraphs', () => {
    expect(parseSources([paragraphs])).toEqual([
      { uri: 'http://mirror.example/debian', suite: 'bookworm' },
      { uri: 'http://mirror.example/debian', suite: 'bookworm-updates' },
      { uri: 'http://mirror.example/debian-security', suite: 'bookworm-security' },
    ]);
  });

  it('reads lines with options, and skips comments and sources of sources', () => {
    const lines = `# deb http://a.example/debian off main
deb [arch=amd64 signed-by=/x.gpg] http://b.example/debian bookworm main contrib
deb-src http://c.example/debian bookworm main`;
    expect(parseSources([lines, ''])).toEqual([{ uri: 'http://b.example/debian', suite: 'bookworm' }]);
  });
});

describe('backportsKnown', () => {
  it.each([
    ['a line', 'deb http://x/debian bookworm-backports main', true],
    ['a comment', '# deb http://x/debian bookworm-backports main', false],
    ['another release', 'deb http://x/debian trixie-backports main', false],
    ['a paragraph', 'Types: deb deb-src\nURIs: http://x\nSuites:\n bookworm\n bookworm-backports\n', true],
    ['a paragraph that is off', 'Enabled: no\nTypes: deb\nURIs: http://x\nSuites: bookworm-backports\n', false],
  ])('%s', (_, text, known) => {
    expect(backportsKnown([text], 'bookworm')).toBe(known);
  });
});

describe('debianMirror', () => {
  it('is the mirror of the release itself, else the default', () => {
    expect(debianMirror([paragraphs], 'bookworm')).toBe('http://mirror.example/debian');
    expect(debianMirror([paragraphs], 'trixie')).toBe(defaultMirror);
    expect(debianMirror(['deb cdrom:[Debian]/ bookworm main'], 'bookworm')).toBe(defaultMirror);
    expect(debianMirror(["deb http://x/';reboot;' bookworm main"], 'bookworm')).toBe(defaultMirror);
  });
});
