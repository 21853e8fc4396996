//! The sizes of durable writes as a Prometheus histogram. The backend counts them; nothing is
//! measured here.

use leasehold_backend_api::Writes;
use leasehold_domain::StoreName;
use prometheus::proto::Bucket;
use prometheus::proto::Histogram;
use prometheus::proto::LabelPair;
use prometheus::proto::Metric;
use prometheus::proto::MetricFamily;
use prometheus::proto::MetricType;

/// The histograms of all stores, to be put beside what the registry gathers.
pub(super) fn family<'a>(
    stores: impl Iterator<Item = (&'a StoreName, &'a Writes)>,
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name("leasehold_commit_commands".to_owned());
    family.set_help("Commands in one durable write of the backend.".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(stores.map(|(name, writes)| metric(name, writes)).collect());
    family
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other number; exact up to 2^53"
)]
fn metric(store: &StoreName, writes: &Writes) -> Metric {
    let buckets = writes.up_to().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(writes.count());
    histogram.set_sample_sum(writes.commands() as f64);
    let mut label = LabelPair::default();
    label.set_name("store".to_owned());
    label.set_value(store.to_string());
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric.set_histogram(histogram);
    metric
}
