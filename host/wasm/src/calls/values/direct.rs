//! Values on their way into or out of a component, as the engine sees them.
//!
//! wasmtime carries values either as Rust types that are known when PID 1 is built, or as
//! [`Val`](wasmtime::component::Val)s, one for each byte of a `list<u8>`: 64 KiB took 6 ms to and fro. Types of services are
//! known only when a component is there, so these stand in for any type and go by what the component says of its own.
//! What implements the engine's traits is hidden in its documentation, since it is meant for its own derive macros, and may
//! change with a new version; whether it still means the same is told by the guests that send every type to and fro, in
//! each number of parameters.
//!
//! Both sides' types were compared before ([`shape::same`](crate::calls::shape::same)), so the engine's own check passes
//! all.

use super::Unfit;
use super::load::{Loader, Stop};
use super::store::Storer;
use std::mem::MaybeUninit;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Error, Result, ValRaw};

pub(crate) use super::layout::MAX_FLAT_PARAMS;

/// [`Taken`] with as many is what the engine takes for a result that lies in memory: there is room for one on the stack.
pub(crate) const IN_MEMORY: usize = 2;

/// Parameters or results that come out of a component, which takes `N` values on its stack for them. More than one result
/// lies in memory.
pub(crate) struct Taken<const N: usize>(pub(crate) Result<Vec<u8>, Unfit>);

/// Parameters or results for a component, which has room for `N` values on its stack.
pub(crate) struct Given<const N: usize>(pub(crate) Vec<u8>);

// SAFETY: `Lower` is `N` slots side by side. Size and alignment are those of nothing at all: the engine asks for them to
// allocate the parameters of functions with more than 16, which are not called with this type, and to find results in
// memory, of which it hands out no more than the place then; the bounds are looked at here.
unsafe impl<const N: usize> ComponentType for Taken<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: as above.
unsafe impl<const N: usize> ComponentType for Given<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: the names of parameters are not looked at, since their types were compared with another component's.
unsafe impl<const N: usize> ComponentNamedList for Taken<N> {}

// SAFETY: as above.
unsafe impl<const N: usize> ComponentNamedList for Given<N> {}

// SAFETY: it reads slots through a slice, and memory through slices within the component's memory.
unsafe impl<const N: usize> Lift for Taken<N> {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        slots: &[ValRaw; N],
    ) -> Result<Self> {
        let mut loader = Loader::new(cx);
        let taken = loader.flat(ty, &mut slots.as_slice());
        taken_of(taken.map(|()| loader.into_bytes()))
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        place: &[u8],
    ) -> Result<Self> {
        // The engine cut out as many bytes as `ABI` says, which is none; the type says how many there are.
        let at = place
            .as_ptr()
            .addr()
            .checked_sub(cx.memory().as_ptr().addr());
        let rest = at.and_then(|at| Some((at, cx.memory().get(at..)?)));
        let (at, bytes) =
            rest.ok_or_else(|| Error::msg("results beyond the component's memory"))?;
        if !at.is_multiple_of(cx.types.canonical_abi(&ty).align32 as usize) {
            return Err(Error::msg("results that are not aligned"));
        }
        let mut loader = Loader::new(cx);
        let taken = loader.load(ty, bytes);
        taken_of(taken.map(|()| loader.into_bytes()))
    }
}

fn taken_of<const N: usize>(taken: Result<Vec<u8>, Stop>) -> Result<Taken<N>> {
    match taken {
        Ok(bytes) => Ok(Taken(Ok(bytes))),
        Err(Stop::Unfit(unfit)) => Ok(Taken(Err(unfit))),
        Err(Stop::Trap(error)) => Err(error),
    }
}

// SAFETY: every slot is written. Memory is written through slices within the component's memory.
unsafe impl<const N: usize> Lower for Given<N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        slots: &mut MaybeUninit<[ValRaw; N]>,
    ) -> Result<()> {
        let mut slots = slots.write([ValRaw::u64(0); N]).as_mut_slice();
        let mut storer = Storer::new(cx, &self.0);
        storer.flat(ty, &mut slots)?;
        storer.finished()
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        at: usize,
    ) -> Result<()> {
        let mut storer = Storer::new(cx, &self.0);
        storer.store(ty, at)?;
        storer.finished()
    }
}
