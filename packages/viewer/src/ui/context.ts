import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Kitchen } from '../state/kitchen.js';

export const KitchenContext = createContext<Kitchen | undefined>(undefined);

export function useKitchen(): Kitchen {
  const kitchen = useContext(KitchenContext);
  if (!kitchen) throw new Error('a view outside of the page');
  return kitchen;
}
