import type { Language } from './format';

export type Theme = 'system' | 'light' | 'dark';

export const LANGUAGES: readonly Language[] = ['en', 'ja', 'de'];
export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

// The same names stand in public/first-paint.js, which applies both before the first paint.
const LANGUAGE_KEY = 'hidamari.language';
const THEME_KEY = 'hidamari.theme';

/** The language wished for: the address, then what was chosen before, then the browser's. */
export function preferredLanguage(
  query: string,
  stored: string | null,
  browser: readonly string[],
): Language {
  const wished = [new URLSearchParams(query).get('lang'), stored, ...browser];
  for (const wish of wished) {
    const found = LANGUAGES.find((language) => wish?.toLowerCase().split('-')[0] === language);
    if (found) return found;
  }
  return 'en';
}

/** What this person chose for this browser. */
class Preferences {
  language = $state<Language>(
    preferredLanguage(location.search, remembered(LANGUAGE_KEY), navigator.languages),
  );
  theme = $state<Theme>(THEMES.find((theme) => theme === remembered(THEME_KEY)) ?? 'system');

  chooseLanguage(language: Language): void {
    this.language = language;
    remember(LANGUAGE_KEY, language);
  }

  chooseTheme(theme: Theme): void {
    this.theme = theme;
    remember(THEME_KEY, theme);
  }
}

// Storage may be switched off; the page then works and merely forgets.
function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}

export const preferences = new Preferences();
