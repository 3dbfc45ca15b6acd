/** Compares what a proved leaf says with the row that the dashboard shows for it. */
import { get, type Trade } from '../api/client';
import type { Leaf, TradeLeaf } from './leaf';

/** One figure, once as it is proved and once as it is shown. */
export interface Compared {
  name:
    | 'energy'
    | 'sellerPrice'
    | 'buyerPrice'
    | 'amount'
    | 'charge'
    | 'rent'
    | 'counterparty'
    | 'ordered'
    | 'filled'
    | 'price';
  proved: string;
  shown: string;
}

interface Place {
  height: number;
  /** The address of the receipt, by which rows name their proof. */
  receipt: string;
  /** The local date of an instant. */
  localDate: (at_ms: number) => string;
}

/**
 * Every figure of the row with its proved counterpart; `null` if such leaves are shown as no row.
 *
 * An empty list means that the dashboard shows no row for what is proved.
 */
export async function compareRow(leaf: Leaf, place: Place): Promise<Compared[] | null> {
  if (leaf.kind === 'trade') {
    const rows = await get('/api/v1/households/{party}/trades', {
      path: { party: leaf.buyer },
      query: { date: place.localDate(leaf.period_start_ms) },
    });
    const row = rows.find((candidate) => candidate.receipt === place.receipt);
    return row ? compareTrade(leaf, row) : [];
  }
  if (leaf.kind === 'answer') {
    const rows = await get('/api/v1/households/{party}/orders', {
      path: { party: leaf.party },
      query: { date: place.localDate(leaf.period_start_ms) },
    });
    const row = rows.find(
      (candidate) =>
        candidate.height === place.height &&
        candidate.side === leaf.side &&
        candidate.period_start_ms === leaf.period_start_ms,
    );
    if (!row) return [];
    return [
      figure('ordered', leaf.ordered_wh, row.ordered_wh),
      figure('filled', leaf.filled_wh, row.filled_wh),
      figure('price', leaf.price, row.price),
    ];
  }
  return null;
}

type TradeRow = Pick<
  Trade,
  'energy_wh' | 'seller_price' | 'buyer_price' | 'amount' | 'charge' | 'rent' | 'counterparty'
>;

/** The figures of a trade as its buyer sees it. */
export function compareTrade(leaf: TradeLeaf, row: TradeRow): Compared[] {
  return [
    figure('energy', leaf.energy_wh, row.energy_wh),
    figure('sellerPrice', leaf.seller_price, row.seller_price),
    figure('buyerPrice', leaf.buyer_price, row.buyer_price),
    figure('amount', leaf.buyer_amount, row.amount),
    figure('charge', leaf.charge, row.charge),
    figure('rent', leaf.rent, row.rent),
    figure('counterparty', leaf.seller, row.counterparty),
  ];
}

function figure(
  name: Compared['name'],
  proved: string | number | null,
  shown: string | number | null,
): Compared {
  return { name, proved: String(proved ?? ''), shown: String(shown ?? '') };
}
