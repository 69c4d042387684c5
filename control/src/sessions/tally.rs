//! How much each tenant has of something.

use kakehashi_wire::id::TenantId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A number for each tenant that has any.
#[derive(Debug, Default)]
pub struct Tally(HashMap<TenantId, usize>);

impl Tally {
    /// One more.
    pub fn add(&mut self, tenant: TenantId) {
        *self.0.entry(tenant).or_default() += 1;
    }

    /// One less of what was added.
    pub fn take(&mut self, tenant: TenantId) {
        if let Entry::Occupied(mut count) = self.0.entry(tenant) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// How many there are.
    pub fn of(&self, tenant: TenantId) -> usize {
        self.0.get(&tenant).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_counted_apart_and_forgotten_at_none() {
        let mut tally = Tally::default();
        for tenant in [1, 1, 2] {
            tally.add(TenantId(tenant));
        }
        assert_eq!([1, 2, 3].map(|tenant| tally.of(TenantId(tenant))), [2, 1, 0]);
        for tenant in [1, 1, 2, 3] {
            tally.take(TenantId(tenant));
        }
        assert!(tally.0.is_empty());
    }
}
