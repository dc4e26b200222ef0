//! A short list that needs no memory of its own.

use std::ops::Deref;

use crate::index::CapIx;

/// So many fit beside the tag and the length in the size of a `Vec`.
const FEW: usize = 5;

/// Capabilities of one contract. Most Cards name a few, which then lie in the Ente itself: a step that read
/// them elsewhere would wait for memory once more.
pub(crate) enum Few {
    Here { len: u8, caps: [CapIx; FEW] },
    There(Box<[CapIx]>),
}

impl Default for Few {
    fn default() -> Self {
        Self::from(&[][..])
    }
}

impl From<&[CapIx]> for Few {
    fn from(list: &[CapIx]) -> Self {
        let mut caps = [CapIx(0); FEW];
        let (Some(here), Ok(len)) = (caps.get_mut(..list.len()), u8::try_from(list.len())) else {
            return Self::There(list.into());
        };
        here.copy_from_slice(list);
        Self::Here { len, caps }
    }
}

impl FromIterator<CapIx> for Few {
    fn from_iter<I: IntoIterator<Item = CapIx>>(caps: I) -> Self {
        let caps: Vec<CapIx> = caps.into_iter().collect();
        Self::from(&caps[..])
    }
}

impl Deref for Few {
    type Target = [CapIx];

    fn deref(&self) -> &[CapIx] {
        match self {
            Self::Here { len, caps } => caps.get(..usize::from(*len)).unwrap_or_default(),
            Self::There(caps) => caps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        assert!(Few::default().is_empty());
        for len in 0..12 {
            let list: Vec<CapIx> = (0..len).map(CapIx).collect();
            let few: Few = list.iter().copied().collect();
            assert_eq!(few[..], list[..]);
            assert_eq!(matches!(few, Few::There(_)), list.len() > FEW);
        }
        assert_eq!(size_of::<Few>(), size_of::<Vec<CapIx>>());
    }
}
