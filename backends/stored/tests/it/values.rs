//! Values of the domain come back from their forms, and what breaks a rule of theirs does not.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Change;
use leasehold_domain::Command;
use leasehold_domain::Document;
use leasehold_domain::Edit;
use leasehold_domain::Event;
use leasehold_domain::LeasePolicies;
use leasehold_domain::Note;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::PolicyVersion;
use leasehold_domain::Precondition;
use leasehold_domain::Role;
use leasehold_domain::RoleName;
use leasehold_domain::RoleSet;
use leasehold_domain::Transition;
use leasehold_stored::Form;
use leasehold_stored::Formed;
use leasehold_stored::cause;
use leasehold_stored::cause::Roles;
use leasehold_stored::command;
use leasehold_stored::decode;
use leasehold_stored::document;
use leasehold_stored::encode;
use leasehold_stored::event;
use leasehold_stored::lock as lock_form;
use leasehold_stored::outcome;
use leasehold_stored::transition;

use crate::layout::encoded;
use crate::sample::Sample;
use crate::sample::begin;

/// Every variant of the form as a value and back: to the same form, and to the same bytes. Texts
/// that are names in the domain are spelled as such.
fn there_and_back<T, F>(name: &str)
where
    T: for<'a> Formed<'a> + PartialEq + std::fmt::Debug,
    F: Form<'static> + Sample,
{
    begin();
    for form in F::samples() {
        // Samples say "text 7", which is no lock and no team; "text-7" is.
        let mut bytes = encoded(&form).to_vec();
        while let Some(at) = bytes.windows(5).position(|part| part == b"text ") {
            bytes[at + 4] = b'-';
        }
        let value: T = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = encode(&value);
        assert_eq!(decode::<T>(&again).as_ref(), Ok(&value), "{name}");
        // Roles of a later build are left out; all else is as it was.
        if !format!("{value:?}").contains("roles") {
            assert_eq!(hex::encode(again), hex::encode(&bytes), "{name}");
        }
    }
}

#[test]
fn every_variant_comes_back() {
    there_and_back::<Command, command::Command<'static>>("command");
    there_and_back::<Action, command::Action<'static>>("action");
    there_and_back::<Atomicity, command::Atomicity>("atomicity");
    there_and_back::<Arc<Cause>, cause::Cause<'static>>("cause");
    there_and_back::<Operation, cause::Operation>("operation");
    there_and_back::<Event, event::Event<'static>>("event");
    there_and_back::<leasehold_domain::EventKind, event::EventKind<'static>>("kind");
    there_and_back::<Note, event::Note<'static>>("note");
    there_and_back::<Change, event::Change<'static>>("change");
    there_and_back::<Transition, transition::Transition<'static>>("transition");
    there_and_back::<Outcome, outcome::Outcome<'static>>("outcome");
    there_and_back::<leasehold_domain::LockView, outcome::LockView<'static>>("view");
    there_and_back::<leasehold_domain::DrainCause, outcome::DrainCause<'static>>("drain");
    there_and_back::<leasehold_domain::EndCause, outcome::EndCause>("end");
    there_and_back::<leasehold_domain::Rejection, outcome::Rejection>("rejection");
    there_and_back::<leasehold_domain::DenialKind, cause::DenialKind>("denial");
    there_and_back::<leasehold_domain::Effect, cause::Effect<'static>>("effect");
    there_and_back::<leasehold_domain::Enforcement, cause::Enforcement>("enforcement");
    there_and_back::<leasehold_domain::PolicyAnswer, cause::PolicyAnswer<'static>>("answer");
    there_and_back::<leasehold_domain::RevokeTarget, command::RevokeTarget<'static>>("target");
    there_and_back::<Document, document::Document<'static>>("document");
    there_and_back::<Edit, document::Edit<'static>>("edit");
    there_and_back::<Precondition, document::Precondition>("precondition");
    there_and_back::<leasehold_domain::EditOutcome, document::EditOutcome>("edited");
}

#[test]
fn roles_come_back() {
    let custom: RoleSet = ["Deployer (EU)", "auditor"]
        .map(|name| name.parse::<RoleName>().unwrap())
        .into_iter()
        .collect();
    for roles in [RoleSet::default(), RoleSet::from_iter(Role::ALL), custom] {
        assert_eq!(RoleSet::restore(roles.form()), Ok(roles.clone()));
    }
    for role in Role::ALL {
        let only = RoleSet::default().with(role);
        assert_eq!(RoleSet::restore(only.form()).as_ref(), Ok(&only));
        // A role of a later build.
        let mut later = only.form().unwrap();
        later.known |= 1 << 31;
        assert_eq!(RoleSet::restore(Some(later)).as_ref(), Ok(&only));
    }
    let malformed = Roles {
        known: 0,
        custom: vec![" padded"],
    };
    assert!(RoleSet::restore(Some(malformed)).is_err());
}

#[test]
fn what_breaks_a_rule_of_the_value_is_refused() {
    let lock = |namespace| lock_form::LockRef {
        namespace,
        lock: "l",
    };
    type Lock = leasehold_domain::LockRef;
    assert!(decode::<Lock>(encoded(&lock("demo"))).is_ok());
    let refused = decode::<Lock>(encoded(&lock("Demo"))).expect_err("no namespace");
    assert!(refused.to_string().starts_with("namespace "), "{refused}");
    let longer = [encoded(&lock("demo")), &[0]].concat();
    assert!(decode::<Lock>(&longer).is_err(), "a byte is left over");
}

/// What an entry does is never guessed, however deep the unknown part lies.
#[test]
fn a_variant_of_a_later_build_is_refused_and_not_left_out() {
    begin();
    let bytes = encoded(&command::Command::sample());
    let known: Command = {
        let mut bytes = bytes.to_vec();
        while let Some(at) = bytes.windows(5).position(|part| part == b"text ") {
            bytes[at + 4] = b'-';
        }
        decode(&bytes).expect("a sample")
    };
    let mut form = known.form();
    let encoded_with = |form: &command::Command<'_>| {
        let mut bytes = Vec::new();
        leasehold_stored::encode_into(form, &mut bytes);
        bytes
    };
    if let Some(cause) = &mut form.cause {
        cause.request.operation = cause::Operation::Configure;
        cause.request.ttl_ms = None;
    }
    let bytes = encoded_with(&form);
    let last = u8::try_from(Operation::ALL.len() - 1).expect("few");
    // The operation stands in front of its lock.
    let lock = encoded_with(&form)
        .windows(2)
        .rposition(|two| two == [last, 0x82])
        .expect("an operation");
    let mut later = bytes.clone();
    later[lock] = last + 1;
    assert!(decode::<Command>(&bytes).is_ok());
    let refused = decode::<Command>(&later).expect_err("an unknown operation");
    assert!(
        refused.to_string().contains("Operation of a later build"),
        "{refused}"
    );
}

/// Each version is there once, whichever of the two it judged.
#[test]
fn the_policies_of_a_lease_come_back() {
    let list = |numbers: &[u8]| {
        let version = |number: &u8| PolicyVersion {
            policy: "p".into(),
            version: number.to_string().into(),
        };
        numbers.iter().map(version).collect::<Vec<_>>()
    };
    let lists: [&[u8]; 6] = [&[], &[1], &[2], &[1, 2], &[2, 3], &[1, 2, 3]];
    for granted in lists {
        for renewed in [None].into_iter().chain(lists.map(Some)) {
            let policies = LeasePolicies {
                granted: list(granted),
                renewed: renewed.map(list),
            };
            let form = policies.form();
            let both = granted.iter().chain(renewed.into_iter().flatten());
            let distinct: std::collections::BTreeSet<_> = both.collect();
            assert_eq!(form.versions.len(), distinct.len(), "{form:?}");
            assert_eq!(LeasePolicies::restore(form), Ok(policies.clone()));
            assert_eq!(decode(&encode(&policies)), Ok(policies));
        }
    }
}
