//! The raft backend by its public face: alone, and as a group of three.

mod it {
    mod alone;
    mod blobs;
    mod certificates;
    mod faults;
    mod five;
    mod group;
    mod membership;
    mod three;
    mod upgrade;
}
