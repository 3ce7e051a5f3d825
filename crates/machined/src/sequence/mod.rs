//! What ends a node's run, and in which order: a pure plan per request, carried out by the init process.

pub mod drain;

use std::sync::{Arc, Mutex};

use api::proto::machine::{PhaseEvent, SequenceEvent, phase_event, sequence_event};
use tokio::sync::mpsc;

use crate::events::Events;
use crate::logs::lock;

/// What a person asked the whole machine to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sequence {
    /// End and start again.
    Reboot {
        /// Without ending pods and services in order.
        force: bool,
    },
    /// End.
    Shutdown {
        /// Without cordon and drain.
        force: bool,
    },
    /// Forget everything.
    Reset {
        /// Leave the cluster first: cordon, drain, leave etcd.
        graceful: bool,
        /// Start again afterwards.
        reboot: bool,
    },
}

/// A part of a sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Mark the node unschedulable and evict its pods.
    CordonAndDrain,
    /// Remove this node's etcd member from the cluster.
    LeaveEtcd,
    /// Stop the pods through the container runtime.
    StopPods,
    /// Stop services, what depends on others first.
    StopServices,
    /// Remove this node from the discovery service.
    LeaveDiscovery,
    /// Remove configuration, secrets and data.
    Wipe,
}

impl Phase {
    /// The name shown in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::CordonAndDrain => "drain",
            Self::LeaveEtcd => "leave",
            Self::StopPods => "stopPods",
            Self::StopServices => "stopServices",
            Self::LeaveDiscovery => "leaveDiscovery",
            Self::Wipe => "wipe",
        }
    }
}

/// How the init process ends: the provider that started the node understands it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Stay down.
    PowerOff,
    /// Start me again.
    Reboot,
}

impl Ending {
    /// The exit status. Containers have no way to say "start me again" but this.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::PowerOff => 0,
            Self::Reboot => sys::EXIT_REBOOT,
        }
    }
}

impl Sequence {
    /// The name shown in events and refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reboot { .. } => "reboot",
            Self::Shutdown { .. } => "shutdown",
            Self::Reset { .. } => "reset",
        }
    }

    /// What is done, in order.
    pub fn phases(self) -> Vec<Phase> {
        match self {
            Self::Reboot { force: true } => vec![Phase::StopServices],
            Self::Reboot { force: false } | Self::Shutdown { force: true } => {
                vec![Phase::StopPods, Phase::StopServices]
            }
            Self::Shutdown { force: false } => vec![Phase::CordonAndDrain, Phase::StopPods, Phase::StopServices],
            Self::Reset { graceful: true, .. } => {
                vec![
                    Phase::CordonAndDrain,
                    Phase::LeaveEtcd,
                    Phase::StopPods,
                    Phase::StopServices,
                    Phase::LeaveDiscovery,
                    Phase::Wipe,
                ]
            }
            Self::Reset { graceful: false, .. } => {
                vec![Phase::StopPods, Phase::StopServices, Phase::LeaveDiscovery, Phase::Wipe]
            }
        }
    }

    /// How it ends.
    pub fn ending(self) -> Ending {
        match self {
            Self::Reboot { .. } | Self::Reset { reboot: true, .. } => Ending::Reboot,
            Self::Shutdown { .. } | Self::Reset { .. } => Ending::PowerOff,
        }
    }

    /// Whether it may begin while another runs.
    fn takes_over(self) -> bool {
        matches!(self, Self::Reboot { .. } | Self::Shutdown { .. })
    }
}

/// A sequence, and who asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What to do.
    pub sequence: Sequence,
    /// The client's name for its request; events carry it.
    pub actor: String,
}

/// Another sequence is running.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("locked: {0} is running (wait for it to end)")]
pub struct Locked(pub &'static str);

/// Takes requests; one sequence at a time.
#[derive(Clone)]
pub struct Sequencer {
    running: Arc<Mutex<Option<Sequence>>>,
    requests: mpsc::UnboundedSender<Request>,
    events: Events,
}

impl Sequencer {
    /// A sequencer, and the requests that the init process carries out.
    pub fn new(events: Events) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, receiver) = mpsc::unbounded_channel();
        (
            Self {
                running: Arc::default(),
                requests,
                events,
            },
            receiver,
        )
    }

    /// Asks for a sequence.
    ///
    /// # Errors
    /// Another one is running, and this one may not take over.
    pub fn request(&self, sequence: Sequence, actor: &str) -> Result<(), Locked> {
        let mut running = lock(&self.running);
        if let Some(other) = *running
            && (!sequence.takes_over() || other.takes_over())
        {
            return Err(Locked(other.name()));
        }
        *running = Some(sequence);
        // The receiver lives as long as the init process; if it is gone, so is the machine.
        let _ = self.requests.send(Request {
            sequence,
            actor: actor.to_owned(),
        });
        Ok(())
    }

    /// What is running.
    pub fn running(&self) -> Option<Sequence> {
        *lock(&self.running)
    }

    /// Tells the world that a sequence begins or ends.
    pub fn announce(&self, request: &Request, start: bool, error: Option<String>) {
        let action = if start {
            sequence_event::Action::Start
        } else {
            sequence_event::Action::Stop
        };
        let error = error.map(|message| api::proto::common::Error {
            message,
            ..Default::default()
        });
        let event = SequenceEvent {
            sequence: request.sequence.name().to_owned(),
            action: action.into(),
            error,
        };
        self.events.publish("machine.SequenceEvent", &event, &request.actor);
    }

    /// Tells the world that a phase begins or ends.
    pub fn announce_phase(&self, phase: Phase, start: bool, actor: &str) {
        let action = if start {
            phase_event::Action::Start
        } else {
            phase_event::Action::Stop
        };
        let event = PhaseEvent {
            phase: phase.name().to_owned(),
            action: action.into(),
        };
        self.events.publish("machine.PhaseEvent", &event, actor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sequence_at_a_time_but_a_reboot_takes_over_a_reset() {
        let (sequencer, mut requests) = Sequencer::new(Events::default());
        let reset = Sequence::Reset {
            graceful: true,
            reboot: false,
        };
        let reboot = Sequence::Reboot { force: false };
        sequencer.request(reset, "a").unwrap();
        assert_eq!(sequencer.request(reset, "b"), Err(Locked("reset")));
        sequencer.request(reboot, "c").unwrap();
        assert_eq!(sequencer.request(reboot, "d"), Err(Locked("reboot")));
        assert_eq!(requests.try_recv().unwrap().sequence, reset);
        assert_eq!(requests.try_recv().unwrap().sequence, reboot);
    }

    #[test]
    fn data_is_wiped_only_by_a_reset_and_only_after_everything_stopped() {
        for sequence in [Sequence::Reboot { force: false }, Sequence::Shutdown { force: false }] {
            assert!(!sequence.phases().contains(&Phase::Wipe));
        }
        let phases = Sequence::Reset {
            graceful: true,
            reboot: true,
        }
        .phases();
        assert_eq!(phases.last(), Some(&Phase::Wipe));
        assert!(
            phases.iter().position(|p| *p == Phase::LeaveEtcd) < phases.iter().position(|p| *p == Phase::StopServices)
        );
        let graceless = Sequence::Reset {
            graceful: false,
            reboot: false,
        };
        assert!(graceless.phases().ends_with(&[Phase::LeaveDiscovery, Phase::Wipe]));
    }
}
