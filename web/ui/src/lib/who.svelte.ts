import { get, RequestFailure, send, type WhoAmI } from './api/client';

/** Who has signed in at this browser; the server's cookie is out of the page's reach. */
class Who {
  current = $state.raw<WhoAmI | null>(null);

  /** Asks the server. While it does not answer, nobody is shown. */
  async load(): Promise<void> {
    try {
      this.current = await get('/api/v1/session');
    } catch (cause) {
      if (!(cause instanceof RequestFailure)) throw cause;
      this.current = null;
    }
  }

  /** Signs in by a link of the household's own agent. */
  async byLink(link: string): Promise<void> {
    await send('POST', '/api/v1/session/link', { link });
  }

  /** Signs in as an operator. */
  async byPassword(name: string, password: string, code: string): Promise<void> {
    await send('POST', '/api/v1/session/operator', { name, password, code });
  }

  /** Ends the session here and on the server. */
  async signOut(): Promise<void> {
    try {
      await send('DELETE', '/api/v1/session');
    } catch (cause) {
      // A session that was over already is what was wanted.
      if (!(cause instanceof RequestFailure) || cause.status !== 401) throw cause;
    }
  }
}

export const who = new Who();
