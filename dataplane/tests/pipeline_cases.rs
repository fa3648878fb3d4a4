//! What becomes of a packet: a description, a packet in, its verdict and the packet out, through
//! the real pipeline. The packets are built and verified by etherparse.

#[path = "pipeline_cases/answers.rs"]
mod answers;
#[path = "pipeline_cases/batch.rs"]
mod batch;
#[path = "pipeline_cases/flows.rs"]
mod flows;
#[path = "pipeline_cases/hand_over.rs"]
mod hand_over;
#[path = "pipeline_cases/icmp.rs"]
mod icmp;
#[path = "pipeline_cases/node.rs"]
mod node;
#[path = "pipeline_cases/text.rs"]
mod text;
#[path = "pipeline_cases/translation.rs"]
mod translation;
#[path = "pipeline_cases/ways.rs"]
mod ways;
