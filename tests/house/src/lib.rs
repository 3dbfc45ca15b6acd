//! Whole-house tests: scenarios over real processes, laws, golden files
