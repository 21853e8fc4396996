//! A backup holds a copy of the store in memory until its client has read that, so one is taken at a
//! time.

use super::*;

#[tokio::test]
async fn a_backup_that_nobody_reads_keeps_one_copy_of_the_store_in_memory_and_no_more() {
    let gateway = Gateway::open_on("raft").await;
    let take = || gateway.send(&gateway.admin, "GET", "/v1/backup", None);
    let unread = take().await;
    assert_eq!(unread.status(), StatusCode::OK);
    for _ in 0..3 {
        let refused = take().await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "overloaded", "{problem}");
        assert_eq!(problem["effect"], "none", "{problem}");
        assert!(problem["retry_after_ms"].as_u64() > Some(0), "{problem}");
    }
    // Whether it is given up or read to its end: the next is taken then.
    drop(unread);
    let whole = take().await;
    assert_eq!(whole.status(), StatusCode::OK);
    assert!(
        !whole
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    assert_eq!(take().await.status(), StatusCode::OK);
    gateway.running.close().await;
}
