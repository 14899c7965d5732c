/** Reading apt's source lists, of both grammars: "deb URI suite component…" lines and deb822 paragraphs. */

export const defaultMirror = 'http://deb.debian.org/debian';

/**
 * @param {string[]} sources  the texts of sources.list and sources.list.d/*
 * @returns {{ uri: string, suite: string }[]}
 */
export function parseSources(sources) {
  return sources.flatMap((text) => (/^Types:/im.test(text) ? parseParagraphs(text) : parseLines(text)));
}

function parseLines(/** @type {string} */ text) {
  return text.split('\n').flatMap((line) => {
    const found = line.match(/^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/);
    return found ? [{ uri: found[1], suite: found[2] }] : [];
  });
}

function parseParagraphs(/** @type {string} */ text) {
  const withoutComments = text.replace(/^#.*\n/gm, '');
  return withoutComments.split(/\n\s*\n/).flatMap((paragraph) => {
    const field = (/** @type {string} */ name) => {
      const value = paragraph.match(new RegExp(`^${name}:((?:.*)(?:\\n[ \\t].*)*)`, 'im'))?.[1] ?? '';
      return value.split(/\s+/).filter(Boolean);
    };
    const off = field('Enabled').some((word) => /^(no|false|0|off|without|disable)$/i.test(word));
    if (off || !field('Types').includes('deb')) return [];
    return field('URIs').flatMap((uri) => field('Suites').map((suite) => ({ uri, suite })));
  });
}

/** @param {string[]} sources @param {string} codename */
export function backportsKnown(sources, codename) {
  return parseSources(sources).some(({ suite }) => suite === `${codename}-backports`);
}

/** The mirror that this machine already trusts for its release: behind a firewall it may be the only one in reach. */
export function debianMirror(/** @type {string[]} */ sources, /** @type {string} */ codename) {
  const main = parseSources(sources).find(
    ({ uri, suite }) => suite === codename && /^https?:\/\/[\w.:@/~%+-]+$/.test(uri),
  );
  return main?.uri ?? defaultMirror;
}
