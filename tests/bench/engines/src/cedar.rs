//! Cedar by `cedar-policy`. It answers yes or no, and which policies decided.

use cedar_policy::Authorizer;
use cedar_policy::Context;
use cedar_policy::Decision;
use cedar_policy::Entities;
use cedar_policy::EntityUid;
use cedar_policy::PolicySet;
use cedar_policy::Request;
use cedar_policy::RestrictedExpression;

use crate::question::AREAS;
use crate::question::Question;
use crate::question::TTL_MS_MAX;
use crate::question::TTL_MS_MIN;

pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    action: EntityUid,
    resource: EntityUid,
}

impl Cedar {
    pub fn new() -> Self {
        let mut policies = String::new();
        for area in 0..AREAS {
            policies += &format!(
                r#"permit(principal, action == Action::"acquire", resource)
                   when {{ context.lock like "area-{area}/*" && context.team == "t{area}" }};
"#
            );
        }
        policies += &format!(
            r#"forbid(principal, action == Action::"acquire", resource)
               when {{ context.ttl_ms < {TTL_MS_MIN} || context.ttl_ms > {TTL_MS_MAX} }};"#
        );
        Self {
            authorizer: Authorizer::new(),
            policies: policies.parse().expect("policies"),
            entities: Entities::empty(),
            action: r#"Action::"acquire""#.parse().expect("an action"),
            resource: r#"Namespace::"demo""#.parse().expect("a resource"),
        }
    }

    pub fn decide(&self, question: &Question) -> bool {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let ttl_ms = i64::try_from(question.ttl_ms).expect("small");
        let labels = question.labels.iter();
        let labels = labels.map(|(key, value)| (key.clone(), text(value)));
        let context = Context::from_pairs([
            ("lock".to_owned(), text(&question.lock)),
            ("team".to_owned(), text(&question.team)),
            ("ttl_ms".to_owned(), RestrictedExpression::new_long(ttl_ms)),
            (
                "labels".to_owned(),
                RestrictedExpression::new_record(labels).expect("a record"),
            ),
        ]);
        let principal = EntityUid::from_type_name_and_id(
            "Subject".parse().expect("a type"),
            cedar_policy::EntityId::new(&question.subject),
        );
        let request = Request::new(
            principal,
            self.action.clone(),
            self.resource.clone(),
            context.expect("a context"),
            None,
        );
        let request = request.expect("a request");
        let answer = self
            .authorizer
            .is_authorized(&request, &self.policies, &self.entities);
        answer.decision() == Decision::Allow
    }
}
