"""The contract of models, for each family: gradients, state, files, examples that do not affect each other, learning."""

from __future__ import annotations

from flambeau import nn
from flambeau.testing import ModelCase, ints, run, sample
from flambeau_text import models

VOCAB = 11
GPT2 = dict(vocab_size=VOCAB, n_embd=4, n_layer=1, n_head=2, n_positions=8, bos_token_id=None, eos_token_id=None, use_cache=False)
LLAMA = dict(
    vocab_size=VOCAB, hidden_size=8, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, use_cache=False
)
BERT = dict(
    vocab_size=VOCAB, hidden_size=4, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=8,
    pad_token_id=0,
)  # fmt: skip
DISTIL = dict(vocab_size=VOCAB, dim=4, hidden_dim=6, n_layers=1, n_heads=2, max_position_embeddings=8)
T5 = dict(vocab_size=VOCAB, d_model=4, d_kv=2, d_ff=6, num_layers=1, num_heads=2, relative_attention_num_buckets=4, use_cache=False)
BART = dict(
    vocab_size=VOCAB, d_model=4, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=6, decoder_ffn_dim=6, encoder_attention_heads=2,
    decoder_attention_heads=2, max_position_embeddings=8, pad_token_id=0, use_cache=False,
)  # fmt: skip


class Scores(nn.Module):
    """A model's first output, from ids alone; an encoder-decoder reads the ids on both sides."""

    def __init__(self, model, both=False):
        super().__init__()
        self.model, self.both = model, both
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                nn.init.normal_(parameter, 0.0, 0.5)

    def forward(self, ids):
        return self.model(ids, decoder_input_ids=ids)[0] if self.both else self.model(ids)[0]


def case(name, make, shapes):
    return ModelCase(name, make, [sample(ints(3, 5, low=1, high=VOCAB))], shapes=shapes)


CASES = [
    case("gpt2", lambda: Scores(models.GPT2LMHeadModel(models.GPT2Config(**GPT2))), shapes=[(3, 5, VOCAB)]),
    case("llama", lambda: Scores(models.LlamaForCausalLM(models.LlamaConfig(**LLAMA))), shapes=[(3, 5, VOCAB)]),
    case("mistral", lambda: Scores(models.MistralForCausalLM(models.MistralConfig(**LLAMA, sliding_window=3))), shapes=[(3, 5, VOCAB)]),
    case("qwen2", lambda: Scores(models.Qwen2ForCausalLM(models.Qwen2Config(**LLAMA))), shapes=[(3, 5, VOCAB)]),
    case("bert", lambda: Scores(models.BertForSequenceClassification(models.BertConfig(**BERT, num_labels=3))), shapes=[(3, 3)]),
    case("roberta", lambda: Scores(models.RobertaForMaskedLM(models.RobertaConfig(**BERT))), shapes=[(3, 5, VOCAB)]),
    case("distilbert", lambda: Scores(models.DistilBertForTokenClassification(models.DistilBertConfig(**DISTIL))), shapes=[(3, 5, 2)]),
    case("t5", lambda: Scores(models.T5ForConditionalGeneration(models.T5Config(**T5)), True), shapes=[(3, 5, VOCAB)]),
    case("bart", lambda: Scores(models.BartForConditionalGeneration(models.BartConfig(**BART)), True), shapes=[(3, 5, VOCAB)]),
    case("marian", lambda: Scores(models.MarianMTModel(models.MarianConfig(**BART)), True), shapes=[(3, 5, VOCAB)]),
    case(
        "transformer", lambda: Scores(models.TransformerForConditionalGeneration(models.TransformerConfig(**BART)), True),
        shapes=[(3, 5, VOCAB)],
    ),
]  # fmt: skip


test_contract = run(CASES)
