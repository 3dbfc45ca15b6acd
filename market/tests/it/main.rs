//! The rules of the exchange, one file per law, on random histories and against independent naive
//! computations. `bare` and `oracle` share nothing with the code they judge but the types.

mod bare;
mod community;
mod oracle;

mod admission;
mod amounts;
mod any_order;
mod gates;
mod laws;
mod pairing;
mod periods;
mod published;
mod settlement;
mod ties;
mod uniform;
