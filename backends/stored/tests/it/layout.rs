//! How a form lies in its bytes, seen by a reader that knows no form: a structure is an array of
//! its fields by their numbers; a choice is the variant's number, in front of its fields in an array if
//! it has any.

use leasehold_stored::Form;
use minicbor::Decoder;
use minicbor::Encoder;

/// What is done with each form.
pub(crate) trait Visitor {
    /// A form by its name and kind (`structure` or `choice`), with samples of it.
    fn form<F>(&mut self, name: &str, kind: &str, samples: Vec<F>)
    where
        F: Form<'static> + PartialEq + std::fmt::Debug;
}

/// Bytes of a form; they live as long as the process, as what is decoded from them must.
pub(crate) fn encoded<F: Form<'static>>(form: &F) -> &'static [u8] {
    let mut bytes = Vec::new();
    leasehold_stored::encode_into(form, &mut bytes);
    Vec::leak(bytes)
}

/// The form of these bytes, all of them.
pub(crate) fn decoded<F: Form<'static>>(bytes: &'static [u8]) -> Option<F> {
    let mut decoder = Decoder::new(bytes);
    let form = F::read(&mut decoder).ok()?;
    (decoder.position() == bytes.len()).then_some(form)
}

/// A form's fields as bytes, by their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The variant's number, for a choice.
    variant: Option<u32>,
    pub(crate) fields: Vec<Vec<u8>>,
}

/// `null`: an absent field in front of one that is there.
pub(crate) const NULL: u8 = 0xf6;

impl Layout {
    pub(crate) fn of(kind: &str, bytes: &[u8]) -> Self {
        let mut decoder = Decoder::new(bytes);
        if let Ok(variant) = decoder.u32() {
            assert_eq!((kind, decoder.position()), ("choice", bytes.len()));
            return Self {
                variant: Some(variant),
                fields: Vec::new(),
            };
        }
        let mut decoder = Decoder::new(bytes);
        let mut count = decoder.array().expect("fields").expect("a length");
        let mut variant = None;
        if kind == "choice" {
            count -= 1;
            variant = Some(decoder.u32().expect("a variant"));
        }
        let mut fields = Vec::new();
        for _ in 0..count {
            let begin = decoder.position();
            decoder.skip().expect("a field");
            fields.push(bytes[begin..decoder.position()].to_vec());
        }
        assert_eq!(decoder.position(), bytes.len());
        Self { variant, fields }
    }

    pub(crate) fn bytes(&self) -> &'static [u8] {
        let mut encoder = Encoder::new(Vec::new());
        let count = self.fields.len() as u64 + u64::from(self.variant.is_some());
        encoder.array(count).expect("memory");
        if let Some(variant) = self.variant {
            encoder.u32(variant).expect("memory");
        }
        let mut bytes = encoder.into_writer();
        bytes.extend(self.fields.concat());
        Vec::leak(bytes)
    }
}
