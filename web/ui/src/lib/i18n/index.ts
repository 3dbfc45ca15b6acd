import type { Language } from '../format';
import { en, type Messages } from './en';
import { ja } from './ja';

export type { Messages };

/** The page's words by language. A key missing in one of them fails the type check. */
export const messages: Record<Language, Messages> = { en, ja };
