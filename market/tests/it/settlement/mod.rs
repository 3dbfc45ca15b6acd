//! Settlement, a file for each law or small group of laws, on random communities with trees,
//! wheeling charges, time-of-use tariffs, levies and tax. `naive` settles a second time with plain
//! loops and decimals; it shares nothing with the code it judges but the types.

mod naive;
mod world;

mod agreement;
mod cases;
mod certificates;
mod corrections;
mod corridor;
mod document;
mod energy;
mod finality;
mod hostile;
mod money;
mod pool_price;
mod pure;
mod silence;
mod tariffs;
mod time;
