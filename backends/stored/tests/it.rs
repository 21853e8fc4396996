//! What the promise of the forms rests on: committed bytes, and readers of other builds.

#[path = "it/forms.rs"]
mod forms;
#[path = "it/golden.rs"]
mod golden;
#[path = "it/layout.rs"]
mod layout;
#[path = "it/sample.rs"]
mod sample;
#[path = "it/values.rs"]
mod values;
