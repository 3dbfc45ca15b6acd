import { href, parseRoute, type Route } from './routes';

/** The current view, kept in step with the address bar. */
class Router {
  route = $state.raw<Route>(parseRoute(location.pathname, location.search));
  /** Grows with each step to another view, so that the page can move focus and scroll. */
  visitsCount = $state(0);

  /** Follows links and the browser's back and forward; returns the function that ends it. */
  start(): () => void {
    const onClick = (event: MouseEvent) => this.#followLink(event);
    const onPopState = () => this.#read();
    document.addEventListener('click', onClick);
    window.addEventListener('popstate', onPopState);
    return () => {
      document.removeEventListener('click', onClick);
      window.removeEventListener('popstate', onPopState);
    };
  }

  /** Goes to a view, as if its link had been followed. */
  visit(route: Route): void {
    this.#visit(href(route));
  }

  /** Writes the view's finer choice (a day, an auction) into the address, without a step back. */
  refine(route: Route): void {
    history.replaceState(null, '', href(route));
    this.route = route;
  }

  #visit(address: string): void {
    history.pushState(null, '', address);
    this.#read();
    this.visitsCount += 1;
    window.scrollTo(0, 0);
  }

  #read(): void {
    this.route = parseRoute(location.pathname, location.search);
  }

  #followLink(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.target || link.hasAttribute('download')) return;
    const url = new URL(link.href, location.href);
    const isFile = url.pathname.startsWith('/api/') || /\.\w+$/.test(url.pathname);
    if (url.origin !== location.origin || isFile || url.hash) return;
    event.preventDefault();
    this.#visit(url.pathname + url.search);
  }
}

export const router = new Router();
