//! The table of distinct atoms of a policy.

use crate::policy::Atom;

/// Atoms in the order in which conditions first use them.
#[derive(Default)]
pub(super) struct Atoms(Vec<Atom>);

impl Atoms {
    /// The index of an equal atom, added if there is none.
    pub(super) fn intern(&mut self, atom: Atom) -> u32 {
        let at = self.0.iter().position(|known| *known == atom).unwrap_or_else(|| {
            self.0.push(atom);
            self.0.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Atom> {
        self.0.get(index as usize)
    }

    pub(super) fn into_vec(self) -> Vec<Atom> {
        self.0
    }
}
