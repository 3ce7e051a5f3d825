//! Give privileges away: OOM score and limits as far as the host allows, then capabilities and the user.

use rustix::process::{Gid, Resource as KernelResource, Uid};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use super::status::Reporter;
use super::{Resource, Rlimit, SandboxSpec};
use crate::{Context, Error, Result, caps};

pub(super) fn set_oom_score(spec: &SandboxSpec, reporter: &mut Reporter) {
    let Some(score) = spec.oom_score_adj else { return };
    if let Err(error) = crate::process::set_oom_score_adj(None, score) {
        reporter.warn(&error);
    }
}

pub(super) fn set_limits(spec: &SandboxSpec, reporter: &mut Reporter) -> Result<()> {
    for limit in &spec.rlimits {
        let resource = match limit.resource {
            Resource::Nofile => KernelResource::Nofile,
            Resource::Nproc => KernelResource::Nproc,
            Resource::Core => KernelResource::Core,
            Resource::Memlock => KernelResource::Memlock,
        };
        if let Err(error) = set_limit(resource, *limit) {
            reporter.warn(&error);
        }
    }
    Ok(())
}

fn set_limit(resource: KernelResource, limit: Rlimit) -> Result<()> {
    let wanted = rustix::process::Rlimit {
        current: limit.soft,
        maximum: limit.hard,
    };
    let Err(error) = rustix::process::setrlimit(resource, wanted) else {
        return Ok(());
    };
    // Raising the hard limit needs CAP_SYS_RESOURCE: come as near as the present one allows.
    let ceiling = rustix::process::getrlimit(resource).maximum;
    let current = match (limit.soft, ceiling) {
        (Some(soft), Some(ceiling)) => Some(soft.min(ceiling)),
        (None, ceiling) => ceiling,
        (soft, None) => soft,
    };
    let _ = rustix::process::setrlimit(
        resource,
        rustix::process::Rlimit {
            current,
            maximum: ceiling,
        },
    );
    let show = |value: Option<u64>| value.map_or("unlimited".to_owned(), |value| value.to_string());
    Err(error).doing(|| {
        let name = format!("{:?}", limit.resource).to_lowercase();
        format!(
            "set the limit {name} to {} (set to {})",
            show(limit.hard),
            show(current)
        )
    })
}

/// Drops what is not in `capabilities`, becomes the user, forbids coming back.
pub(super) fn reduce(spec: &SandboxSpec) -> Result<()> {
    let kept = spec.capabilities.as_ref().map(|names| caps::parse(names)).transpose()?;
    if let Some(kept) = kept {
        for capability in caps::all().filter(|capability| !kept.contains(*capability)) {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // The kernel is older than the capability.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error).doing(|| "drop capabilities from the bounding set"),
            }
        }
    }
    if let Some(user) = &spec.user {
        if kept.is_some_and(|kept| !kept.is_empty()) {
            rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::KEEP_CAPS)
                .doing(|| "keep capabilities over the change of user")?;
        }
        let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        rustix::thread::set_thread_groups(&groups).doing(|| "set the groups")?;
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid).doing(|| format!("become group {}", user.gid))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).doing(|| format!("become user {}", user.uid))?;
    }
    if let Some(kept) = kept {
        set_exactly(kept, spec.user.as_ref().is_some_and(|user| user.uid != 0))?;
    }
    if spec.no_new_privs {
        rustix::thread::set_no_new_privs(true).doing(|| "forbid new privileges")?;
    }
    Ok(())
}

fn set_exactly(wanted: CapabilitySet, ambient: bool) -> Result<()> {
    let own = rustix::thread::capabilities(None).doing(|| "read the capabilities")?;
    let missing = wanted - own.permitted;
    if !missing.is_empty() {
        let reason = format!("this process does not have {missing:?} to give");
        return Err(Error::new("set the capabilities", reason));
    }
    let sets = CapabilitySets {
        effective: wanted,
        permitted: wanted,
        inheritable: wanted,
    };
    rustix::thread::set_capabilities(None, sets).doing(|| "set the capabilities")?;
    if ambient {
        // Without this an exec as an ordinary user loses them all (capabilities(7)).
        for capability in caps::all().filter(|capability| wanted.contains(*capability)) {
            rustix::thread::configure_capability_in_ambient_set(capability, true)
                .doing(|| "keep capabilities over the exec")?;
        }
    }
    Ok(())
}
