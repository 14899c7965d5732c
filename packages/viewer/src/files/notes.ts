/** Small things that are known of files, as JSON in the origin's private file system. */

const LATER_MS = 500;

export class Notes<T> {
  #known: Promise<Map<string, T>> | undefined;
  #saving: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly folder: () => FileSystemDirectoryHandle,
    private readonly file: string,
    private readonly isValid: (value: unknown) => value is T,
    /** Of these; those that were noted longest ago go. */
    private readonly most = Number.POSITIVE_INFINITY,
  ) {}

  async get(key: string): Promise<T | undefined> {
    return (await this.#all()).get(key);
  }

  async put(key: string, value: T): Promise<void> {
    const known = await this.#all();
    if (JSON.stringify(known.get(key)) === JSON.stringify(value)) return;
    known.delete(key); // the newest last
    known.set(key, value);
    for (const oldest of known.keys()) if (known.size > this.most) known.delete(oldest);
    this.#saving ??= setTimeout(() => void this.#save(), LATER_MS);
  }

  forget(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    this.#known = Promise.resolve(new Map());
  }

  #all(): Promise<Map<string, T>> {
    this.#known ??= this.#load();
    return this.#known;
  }

  async #load(): Promise<Map<string, T>> {
    try {
      const file = await (await this.folder().getFileHandle(this.file)).getFile();
      const entries = Object.entries(JSON.parse(await file.text()) as Record<string, unknown>);
      return new Map(entries.filter((entry): entry is [string, T] => this.isValid(entry[1])));
    } catch {
      return new Map();
    }
  }

  /** All or nothing: it is another file until it is closed. */
  async #save(): Promise<void> {
    this.#saving = undefined;
    try {
      const file = await this.folder().getFileHandle(this.file, { create: true });
      const writer = await file.createWritable();
      await writer.write(JSON.stringify(Object.fromEntries(await this.#all())));
      await writer.close();
    } catch {
      // Then it is found out again the next time.
    }
  }
}
