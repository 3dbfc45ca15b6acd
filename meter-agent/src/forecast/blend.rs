//! How much each clue to the coming hours has been worth so far: a ridge regression with
//! exponential forgetting, one for each lead.
//!
//! Kept are the sums `A = Σ x xᵀ` and `b = Σ x y`. The weights minimise the squares of the errors,
//! plus the squares of how far they lie from where they start, each counted as so many periods of
//! its clue: what has not been seen yet stays where it starts.

use borsh::{BorshDeserialize, BorshSerialize};

/// How many clues there are.
pub(super) const CLUES: usize = 8;

pub(super) type Clues = [f64; CLUES];

/// What is left of the weight of a period one period later: a memory of some two weeks.
const FORGETTING: f64 = 0.999_25;
/// How many periods the starting weights count for.
const START_PERIODS: f64 = 60.0;

#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub(super) struct Blend {
    squares: [Clues; CLUES],
    products: Clues,
    /// The sum of the squares of what is to be explained.
    target_squares: f64,
    periods: f64,
}

impl Blend {
    /// Learns how far a period lay from habit, and the clues to it.
    pub(super) fn take(&mut self, clues: &Clues, above_habit_wh: f64) {
        for (row, own) in self.squares.iter_mut().zip(clues) {
            for (sum, other) in row.iter_mut().zip(clues) {
                *sum = FORGETTING * *sum + own * other;
            }
        }
        for (sum, clue) in self.products.iter_mut().zip(clues) {
            *sum = FORGETTING * *sum + clue * above_habit_wh;
        }
        self.target_squares = FORGETTING * self.target_squares + above_habit_wh.powi(2);
        self.periods = FORGETTING * self.periods + 1.0;
    }

    /// The weights of the clues.
    pub(super) fn weights(&self, start: &Clues) -> Clues {
        let mut matrix = self.squares;
        let mut right = self.products;
        let rows = matrix.iter_mut().zip(right.iter_mut()).zip(start).enumerate();
        for (index, ((row, right), start)) in rows {
            let Some(own) = row.get_mut(index) else { continue };
            // A clue that has hardly moved so far must not be blown up.
            let scale = own.max(self.target_squares) / self.periods.max(1.0);
            let ridge = START_PERIODS * scale + 1.0;
            *own += ridge;
            *right += ridge * start;
        }
        solve(matrix, right).unwrap_or(*start)
    }
}

/// Solves a positive definite system by Cholesky's decomposition; `None` where it is not one.
fn solve(matrix: [Clues; CLUES], right: Clues) -> Option<Clues> {
    let mut lower = [[0.0; CLUES]; CLUES];
    for row in 0..CLUES {
        for column in 0..=row {
            let done: f64 = (0..column).map(|k| lower[row][k] * lower[column][k]).sum();
            let rest = matrix[row][column] - done;
            if row == column {
                if !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                lower[row][row] = rest.sqrt();
            } else {
                lower[row][column] = rest / lower[column][column];
            }
        }
    }
    let mut half = [0.0; CLUES];
    for row in 0..CLUES {
        let done: f64 = (0..row).map(|k| lower[row][k] * half[k]).sum();
        half[row] = (right[row] - done) / lower[row][row];
    }
    let mut solution = [0.0; CLUES];
    for row in (0..CLUES).rev() {
        let done: f64 = (row + 1..CLUES).map(|k| lower[k][row] * solution[k]).sum();
        solution[row] = (half[row] - done) / lower[row][row];
    }
    solution.iter().all(|weight| weight.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_start_where_they_are_put_and_find_what_is_true() {
        let start = [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut blend = Blend::default();
        assert_eq!(blend.weights(&start), start);
        let truth = [0.2, 0.7, -0.3, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut wave = 0.0_f64;
        for _ in 0..3_000 {
            wave += 0.7;
            let clues =
                [wave.sin(), (1.7 * wave).cos(), (0.3 * wave).sin(), 0.0, 0.0, 0.0, 0.0, 0.0]
                    .map(|clue| clue * 100.0);
            let above = clues.iter().zip(truth).map(|(clue, weight)| clue * weight).sum();
            blend.take(&clues, above);
        }
        for (found, truth) in blend.weights(&start).iter().zip(truth) {
            assert!((found - truth).abs() < 0.05, "{found} {truth}");
        }
    }
}
