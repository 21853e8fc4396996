#![doc = include_str!("../README.md")]

pub mod cap;
pub mod clock;
pub mod command;
pub mod counter;
pub mod decision;
pub mod document;
pub mod document_set;
pub mod event;
pub mod id;
pub mod lease_policies;
pub mod level;
pub mod limits;
pub mod name;
pub mod outcome;
pub mod pattern;
pub mod principal;
pub mod query;
pub mod request;
pub mod seat;
pub mod text;
pub mod transition;

pub use cap::{Cap, CapReached, Caps};
pub use clock::{Clock, ManualClock, Millis, SystemClock, WallMillis};
pub use command::{Action, Atomicity, Command, Expectation, LockSettings, RevokeTarget};
pub use counter::{Counter, CounterFull, CounterKey, PolicyCounter};
pub use decision::{
    Decision, Denial, DenialKind, Effect, Enforcement, Facts, InvalidRule, PolicyAnswer,
    PolicyLimits, PolicyVerdict, RolloutChoice, RuleDigest,
};
pub use document::{Document, Edit, EditOutcome, Precondition};
pub use document_set::{DocumentChange, DocumentSet};
pub use event::{Change, Cursor, Event, EventKind, Note};
pub use id::{Digest, FencingToken, InvalidId, LeaseHandle, LeaseId, StoreId};
pub use lease_policies::{LeasePolicies, PolicyVersion};
pub use level::{Feature, FeatureLevel};
pub use name::{
    InvalidName, LockName, LockRef, NamespaceName, RequestId, RoleName, StoreName, Subject,
    TeamName,
};
pub use outcome::{
    DrainCause, EndCause, Grant, HolderView, LeaseState, LockView, Outcome, Owner, Rejection,
    Usage, WaiterView,
};
pub use pattern::{DeadPattern, check_lock_pattern};
pub use principal::{Principal, Role, RoleSet};
pub use query::{Counts, ListQuery, LockFilter, Page};
pub use request::{Cause, Mode, Operation, OverrideTerms, Request};
pub use seat::{Seat, SeatState};
pub use transition::{Renewals, Transition};
