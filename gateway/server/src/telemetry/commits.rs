//! The sizes of durable writes as a Prometheus histogram. The backend counts them; nothing is
//! measured here.

use leasehold_backend_api::Writes;
use prometheus::proto::Bucket;
use prometheus::proto::Histogram;
use prometheus::proto::Metric;
use prometheus::proto::MetricFamily;
use prometheus::proto::MetricType;

/// The histogram, to be put beside what the registry gathers.
#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other number; exact up to 2^53"
)]
pub(super) fn family(writes: &Writes) -> MetricFamily {
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
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name("leasehold_commit_commands".to_owned());
    family.set_help("Commands in one durable write of the backend.".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}
