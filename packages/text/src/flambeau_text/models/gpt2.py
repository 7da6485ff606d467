"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): a decoder with learnt positions, norms first."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.pretrained.activations import activation
from flambeau.pretrained.attention import attend, decoder_mask, merge_heads, split_heads
from flambeau.pretrained.cache import Cache
from flambeau.pretrained.config import Config
from flambeau.pretrained.losses import causal_loss, classification_loss, last_tokens
from flambeau.pretrained.model import scaled_residuals
from flambeau.pretrained.outputs import ModelOutput
from flambeau_text.models.pretrained import PretrainedModel


class GPT2Config(Config):
    """Options of GPT-2, with the defaults of its smallest model (124 million parameters)."""

    model_type = "gpt2"
    defaults = {
        "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None,
        "activation_function": "gelu_new", "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1, "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "bos_token_id": 50256, "eos_token_id": 50256,
    }  # fmt: skip
    aliases = {
        "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"
    }  # fmt: skip
    divisible = (("n_embd", "n_head"),)


class Conv1D(nn.Module):
    """A linear layer whose weight is (inputs, outputs), as GPT-2's files have it."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(flambeau.empty(inputs, outputs))
        self.bias = nn.Parameter(flambeau.zeros(outputs))

    def forward(self, x: Any) -> Any:
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Self-attention: (N, L, E) -> (N, L, E)."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.layer, self.size = layer, config.n_embd // config.n_head
        self.scale = self.size**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer + 1
        self.c_attn = Conv1D(3 * config.n_embd, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.dropout, self.resid_dropout = config.attn_pdrop, nn.Dropout(config.resid_pdrop)

    def forward(self, x: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        query, key, value = (split_heads(part, self.size) for part in self.c_attn(x).chunk(3, -1))  # N heads L size
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        dropout = self.dropout if self.training else 0.0
        out, shares = attend(query, key, value, mask, scale=self.scale, dropout=dropout, weights=weights)
        return self.resid_dropout(self.c_proj(merge_heads(out))), shares


class MLP(nn.Module):
    """Two layers with an activation between."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        inner = config.n_inner or 4 * config.n_embd
        self.c_fc, self.c_proj = Conv1D(inner, config.n_embd), Conv1D(config.n_embd, inner)
        self.act, self.dropout = activation(config.activation_function), nn.Dropout(config.resid_pdrop)

    def forward(self, x: Any) -> Any:
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, x: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        out, shares = self.attn(self.ln_1(x), mask, cache, weights)
        x = x + out
        return x + self.mlp(self.ln_2(x)), shares


class GPT2Model(PretrainedModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E).

    >>> model = GPT2Model(GPT2Config(vocab_size=11, n_embd=8, n_layer=2, n_head=2, n_positions=16)).eval()
    >>> model(flambeau.tensor([[1, 2, 3]])).last_hidden_state.shape
    flambeau.Size([1, 3, 8])
    """

    config_class = GPT2Config
    base_model_prefix = "transformer"
    bounded = True

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.post_init()

    def init_weights(self) -> None:
        super().init_weights()
        scaled_residuals(self, "c_proj.weight", self.config.initializer_range, self.config.n_layer)

    def forward(
        self,
        input_ids: Any = None,
        past_key_values: Cache | None = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        inputs_embeds: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> ModelOutput:
        config = self.config
        weights = config.output_attentions if output_attentions is None else output_attentions
        keep = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        cache = past_key_values
        if cache is None and (use_cache if use_cache is not None else config.use_cache and not self.training):
            cache = Cache()
        x = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        check_length(self, length, cache, config.n_positions)
        if position_ids is None:
            position_ids = flambeau.arange(length, device=x.device) if cache is None else cache.positions(length, x.device)
        x = x + self.wpe(position_ids)
        x = self.drop(x if token_type_ids is None else x + self.wte(token_type_ids))
        mask = decoder_mask(length, cache, attention_mask, x.device)
        states, attentions = [x], []
        for block in self.h:
            x, shares = block(x, mask, cache, weights)
            states.append(x)
            attentions.append(shares)
        x = states[-1] = self.ln_f(x)
        if cache is not None:
            cache.advance(length)
        return ModelOutput(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=tuple(states) if keep else None,
            attentions=tuple(attentions) if weights else None,
        )


def check_length(model: Any, length: int, cache: Cache | None, limit: int) -> None:
    """Raise ArgumentError for texts longer than the model's table of positions."""
    before = cache.get_seq_length() if cache is not None and not cache.static else 0
    if before + length > limit:
        got = f"{before + length}" + (f" ({before} of them in the cache)" if before else "")
        hint = "truncation=True in the tokenizer's call, or fewer new tokens"
        raise ArgumentError(explain(type(model).__name__, expected=f"at most {limit} tokens", got=got, hint=hint))


class GPT2LMHeadModel(PretrainedModel):
    """GPT-2 with scores for the next token: `logits` (N, L, vocabulary), and `loss` where `labels` (N, L) are given, not shifted."""

    config_class = GPT2Config
    base_model_prefix = "transformer"
    bounded = True
    tied = {"lm_head.weight": "transformer.wte.weight"}

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        nn.init.normal_(self.lm_head.weight, 0.0, config.initializer_range)
        self.tie_weights()

    def forward(self, input_ids: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        out = self.transformer(input_ids, **inputs)
        logits = self.lm_head(out.last_hidden_state)
        loss = None if labels is None else causal_loss(logits, labels)
        return ModelOutput(
            loss=loss,
            logits=logits,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )


class GPT2ForSequenceClassification(PretrainedModel):
    """GPT-2 with scores for a whole text, from its last token: `logits` (N, K)."""

    config_class = GPT2Config
    base_model_prefix = "transformer"
    bounded = True

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.score = nn.Linear(config.n_embd, config.num_labels, bias=False)
        nn.init.normal_(self.score.weight, 0.0, config.initializer_range)

    def forward(self, input_ids: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        out = self.transformer(input_ids, **inputs)
        logits = self.score(last_tokens(input_ids, out.last_hidden_state, self.config.pad_token_id))
        loss = None if labels is None else classification_loss(logits, labels, self.config)
        return ModelOutput(
            loss=loss,
            logits=logits,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
