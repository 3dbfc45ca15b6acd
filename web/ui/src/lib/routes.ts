/** The page's addresses: plain paths, parsed here and built here. */

export type Route =
  | { area: 'home' }
  | { area: 'market'; period_start_ms: number | null }
  | { area: 'households' }
  | { area: 'household'; party: string; date: string | null }
  | { area: 'ledger' }
  | { area: 'block'; height: number }
  | { area: 'sign-in' }
  | { area: 'missing' };

/** Which view an address means. */
export function parseRoute(pathname: string, search = ''): Route {
  const [area = '', id, ...rest] = pathname.split('/').filter((part) => part !== '');
  const query = new URLSearchParams(search);
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
  return { area: 'household', party, date: date && /^\d{4}-\d\d-\d\d$/.test(date) ? date : null };
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
      return route.date === null ? path : `${path}?date=${route.date}`;
    }
    case 'block':
      return `/ledger/${route.height}`;
    case 'missing':
      return '/';
    default:
      return `/${route.area}`;
  }
}
