//! The rules of the exchange, one file per law, on random histories and against independent naive
//! computations. `bare`, `tree`, `oracle` and `lp` share nothing with the code they judge but the types.

mod bare;
mod community;
mod lp;
mod oracle;
mod single;
mod tree;

mod admission;
mod allocation;
mod allocation_on_trees;
mod amounts;
mod answers;
mod any_order;
mod decoding;
mod ex_post;
mod gates;
mod hostile;
mod irrelevant;
mod laws;
mod laws_of_grids;
mod mcafee;
mod midpoint;
mod money;
mod optimum;
mod periods;
mod published;
mod settlement;
mod sharing;
mod standing;
mod ties;
mod uniform;
mod zone_prices;
