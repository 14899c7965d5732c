/** Of all packages, which go together; test/null/version.test.ts keeps it so. Files say which version made them. */
export const version = '0.1.0';
