/** The page's addresses: plain paths, parsed here and built here. */

export const SPANS = ['day', 'week', 'month', 'year'] as const;
/** How much of a household's history is shown at once. */
export type Span = (typeof SPANS)[number];

export type Route =
  | { area: 'home' }
  | { area: 'market'; period_start_ms: number | null }
  | { area: 'households' }
  | { area: 'household'; party: string; date: string | null; span?: Span }
  | { area: 'ledger' }
  | { area: 'block'; height: number }
  | { area: 'receipt'; height: number; index: number }
  | { area: 'transaction'; hash: string }
  | { area: 'sign-in' }
  | { area: 'missing' };

/** Which view an address means. */
export function parseRoute(pathname: string, search = ''): Route {
  const [area = '', id, ...rest] = pathname.split('/').filter((part) => part !== '');
  const query = new URLSearchParams(search);
  if (area === 'ledger' && rest.length === 1) return ledgerRoute(id ?? '', rest[0] ?? '');
  if (rest.length > 0) return { area: 'missing' };
  if (area === '') return { area: 'home' };
  if (area === 'market' && !id) {
    return { area: 'market', period_start_ms: wholeNumber(query.get('period')) };
  }
  if (area === 'households') return id ? householdRoute(id, query) : { area: 'households' };
  if (area === 'ledger') {
    if (!id) return { area: 'ledger' };
    const height = wholeNumber(id);
    if (height !== null && height > 0) return { area: 'block', height };
  }
  if (area === 'sign-in' && !id) return { area: 'sign-in' };
  return { area: 'missing' };
}

function householdRoute(id: string, query: URLSearchParams): Route {
  const date = query.get('date');
  const party = decoded(id);
  if (party === null) return { area: 'missing' };
  const span = SPANS.find((one) => one === query.get('span') && one !== 'day');
  const day = date && /^\d{4}-\d\d-\d\d$/.test(date) ? date : null;
  return { area: 'household', party, date: day, ...(span && { span }) };
}

/** A transaction, or one result of a block with its proof. */
function ledgerRoute(part: string, place: string): Route {
  if (part === 'transactions') {
    return /^[0-9a-f]{64}$/.test(place) ? { area: 'transaction', hash: place } : { area: 'missing' };
  }
  const [height, index] = [wholeNumber(part), wholeNumber(place)];
  if (height === null || height === 0 || index === null) return { area: 'missing' };
  return { area: 'receipt', height, index };
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** The address of a view: the inverse of `parseRoute`. */
export function href(route: Route): string {
  switch (route.area) {
    case 'home':
      return '/';
    case 'market':
      return route.period_start_ms === null ? '/market' : `/market?period=${route.period_start_ms}`;
    case 'household': {
      const path = `/households/${encodeURIComponent(route.party)}`;
      const query = new URLSearchParams();
      if (route.date !== null) query.set('date', route.date);
      if (route.span && route.span !== 'day') query.set('span', route.span);
      return query.size === 0 ? path : `${path}?${query}`;
    }
    case 'block':
      return `/ledger/${route.height}`;
    case 'receipt':
      return `/ledger/${route.height}/${route.index}`;
    case 'transaction':
      return `/ledger/transactions/${route.hash}`;
    case 'missing':
      return '/';
    default:
      return `/${route.area}`;
  }
}
