//! What the audit ledger is told of an incident: its beginning, its acknowledgement, its end.

use std::sync::Arc;

use leasehold_domain::Change;
use leasehold_domain::Digest;
use leasehold_domain::InvalidName;
use leasehold_domain::Principal;
use leasehold_domain::RoleSet;

use crate::safety::incident::ClockAhead;
use crate::safety::incident::Incident;
use crate::safety::incident::NotReproduced;
use crate::safety::incident::Recorded;
use crate::telemetry::rfc3339;

/// The ledger's word for what has changed.
const COLLECTION: &str = "incident";

/// What the ledger lacks of an incident, in order.
pub(super) fn missing(incident: &Incident) -> Result<Vec<Change>, InvalidName> {
    let Recorded {
        began,
        acknowledged,
        ended,
    } = incident.recorded;
    let mut changes = Vec::new();
    let gateway = || gateway(&incident.noticed_by);
    if !began {
        changes.push(change(incident, gateway()?, "began", beginning(incident))?);
    }
    if let (Some(seen), false) = (&incident.acknowledged, acknowledged) {
        let summary = format!("acknowledged: {}", seen.note);
        let change = change(incident, Arc::new(seen.by.clone()), "acknowledged", summary)?;
        changes.push(Change {
            request_id: seen.request_id.clone(),
            ..change
        });
    }
    if !ended && let Some(summary) = ending(incident) {
        changes.push(change(incident, gateway()?, "ended", summary)?);
    }
    Ok(changes)
}

/// All that has happened of it, as recorded.
pub(super) fn recorded(incident: &Incident) -> Recorded {
    Recorded {
        began: true,
        acknowledged: incident.acknowledged.is_some(),
        ended: incident.ended.is_some(),
    }
}

fn beginning(incident: &Incident) -> String {
    if let Some(ClockAhead { gateway, ahead_ms }) = &incident.clock {
        return format!(
            "clocks differ from {} on, noticed by {}: that of {gateway} is {ahead_ms} ms ahead",
            rfc3339(incident.began),
            incident.noticed_by,
        );
    }
    if let Some(found) = &incident.not_reproduced {
        let NotReproduced {
            policy,
            version,
            decision,
            recorded,
            evaluated,
            ..
        } = found;
        return format!(
            "decision {decision} was not reproduced at {}, noticed by {}: {policy}@{version} {recorded}, but evaluated again {evaluated}",
            rfc3339(incident.began),
            incident.noticed_by,
        );
    }
    if let Some(refusal) = &incident.witness {
        return format!(
            "witness {} did not cosign the ledger of store {} at {}, {} events, root {}: {}; noticed by {}",
            refusal.witness,
            incident.store,
            rfc3339(incident.began),
            refusal.size,
            refusal.root,
            refusal.answer,
            incident.noticed_by,
        );
    }
    let last_success = match &incident.last_success {
        Some(good) => format!(
            "last good command {} at {}",
            good.operation,
            rfc3339(good.at)
        ),
        None => "no good command since the start".to_owned(),
    };
    format!(
        "safe mode of store {} began at {}, noticed by {}: nothing agreed for {} ms, {last_success}",
        incident.store,
        rfc3339(incident.began),
        incident.noticed_by,
        incident.window_ms,
    )
}

fn ending(incident: &Incident) -> Option<String> {
    let ended = incident.ended.as_ref()?;
    if let Some(ClockAhead { gateway, ahead_ms }) = &incident.clock {
        return Some(format!(
            "clocks agree from {} on: that of {gateway} was up to {ahead_ms} ms ahead of that of {}",
            rfc3339(ended.at),
            incident.noticed_by,
        ));
    }
    if let Some(found) = &incident.not_reproduced {
        return Some(format!(
            "acknowledged at {} that {} verdicts of {}@{} were not reproduced by {}",
            rfc3339(ended.at),
            found.verdicts,
            found.policy,
            found.version,
            incident.noticed_by,
        ));
    }
    if let Some(refusal) = &incident.witness {
        return Some(format!(
            "acknowledged at {} that witness {} refused {} times to cosign the ledger of store {}",
            rfc3339(ended.at),
            refusal.witness,
            refusal.refusals,
            incident.store,
        ));
    }
    Some(format!(
        "safe mode of store {} ended at {} by {}: {} requests refused, {} tries failed",
        incident.store,
        rfc3339(ended.at),
        ended.by.as_str(),
        incident.refused,
        incident.failed,
    ))
}

fn change(
    incident: &Incident,
    principal: Arc<Principal>,
    what: &str,
    summary: String,
) -> Result<Change, InvalidName> {
    Ok(Change {
        request_id: format!("incident-{}-{what}", incident.id).parse()?,
        principal,
        collection: COLLECTION.into(),
        id: incident.id.as_str().into(),
        digest: Some(Digest::of(summary.as_bytes())),
        summary: summary.into(),
    })
}

/// The gateway itself, as the ledger names it.
fn gateway(name: &str) -> Result<Arc<Principal>, InvalidName> {
    Ok(Arc::new(Principal {
        subject: format!("leasehold:gateway:{name}").parse()?,
        team: None,
        roles: RoleSet::default(),
        claims: std::collections::BTreeMap::new(),
    }))
}
