//! The table of distinct atoms of a policy.

use crate::policy::Atom;
use std::collections::HashMap;

/// Atoms in the order in which conditions first use them.
#[derive(Default)]
pub(super) struct Atoms {
    atoms: Vec<Atom>,
    /// By their form in an artifact: numbers in atoms have no hash of their own.
    index: HashMap<Vec<u8>, u32>,
}

impl Atoms {
    /// The index of an equal atom, added if there is none.
    pub(super) fn intern(&mut self, atom: Atom) -> u32 {
        let next = u32::try_from(self.atoms.len()).unwrap_or(u32::MAX);
        // Writing to a growing vector cannot fail.
        let key = postcard::to_stdvec(&atom).unwrap_or_default();
        *self.index.entry(key).or_insert_with(|| {
            self.atoms.push(atom);
            next
        })
    }

    pub(super) fn len(&self) -> usize {
        self.atoms.len()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Atom> {
        self.atoms.get(index as usize)
    }

    pub(super) fn into_vec(self) -> Vec<Atom> {
        self.atoms
    }
}
