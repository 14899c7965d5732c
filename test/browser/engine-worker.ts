/** The engine on the pantry alone, for engine.test.ts: what the page's worker has besides is tested with the page. */
import { openModelFolder, UsageError } from '@diffusion-soup/core';
import { Desk } from '../../packages/viewer/src/engine/desk.ts';
import type { Files } from '../../packages/viewer/src/engine/files.ts';
import { GpuStove } from '../../packages/viewer/src/engine/stove.ts';
import { httpFolder } from '../../packages/viewer/src/files/http.ts';
import type { EngineEvent, ModelPlace, Order } from '../../packages/viewer/src/messages.ts';

const missing = async (): Promise<never> => {
  throw new UsageError('only models of the pantry are to be had here');
};

function openPantry({ page }: { readonly page: string }): Files {
  let models = new Map<string, ReturnType<typeof openModelFolder>>();
  const open = (place: ModelPlace) =>
    place.type === 'pantry' ? openModelFolder(httpFolder(new URL(place.path, page).href)) : missing();
  const folder = (name: string) => models.get(name) ?? missing();
  return {
    async setModels(list) {
      models = new Map(list.map(({ name, place }) => [name, models.get(name) ?? open(place)]));
      await Promise.all(models.values());
      return list.map(({ name }) => ({ name, bytes: 0, size: 0, blocks: [] }));
    },
    async openBlend({ portions, base }) {
      const used = portions.filter(({ weight }) => weight !== '0');
      const ingredients = await Promise.all(
        used.map(async ({ name, weight }) => ({ folder: await folder(name), weight })),
      );
      return { ingredients, ...(base !== undefined && { base: await folder(base) }) };
    },
    survey: missing,
    merge: missing,
    picture: missing,
    restore: missing,
    cache: { info: missing, clear: missing },
  };
}

const desk = new Desk(new GpuStove(openPantry), (event: EngineEvent) => self.postMessage(event));
self.onmessage = ({ data }: MessageEvent<Order>) => desk.take(data);
