"""The programs and what they are in the style of. Each prints the losses of 50 steps of training or more, and all of them are compared."""

from __future__ import annotations

from typing import NamedTuple

TOLERANCE = 1e-4  # of single precision, after 50 steps and more


class Case(NamedTuple):
    """One run of a program."""

    command: str
    style: str


CASES = (
    Case("mnist.py", "PyTorch examples: mnist"),
    Case("mnist_rnn.py", "PyTorch examples: mnist_rnn"),
    Case("forward_forward.py", "PyTorch examples: mnist_forward_forward"),
    Case("vae.py", "PyTorch examples: vae"),
    Case("dcgan.py", "PyTorch examples: dcgan"),
    Case("siamese.py", "PyTorch examples: siamese_network"),
    Case("super_resolution.py", "PyTorch examples: super_resolution"),
    Case("word_language_model.py --model LSTM", "PyTorch examples: word_language_model, LSTM"),
    Case("word_language_model.py --model GRU", "PyTorch examples: word_language_model, GRU"),
    Case("word_language_model.py --model RNN_TANH --tied", "PyTorch examples: word_language_model, tanh, tied"),
    Case("word_language_model.py --model RNN_RELU", "PyTorch examples: word_language_model, relu"),
    Case("word_language_model.py --model Transformer", "PyTorch examples: word_language_model, Transformer"),
    Case("regression.py", "PyTorch examples: regression"),
    Case("reinforce.py", "PyTorch examples: reinforce"),
    Case("reinforce.py --critic", "PyTorch examples: actor_critic"),
    Case("time_sequence_prediction.py", "PyTorch examples: time_sequence_prediction"),
    Case("gat.py", "PyTorch examples: gat"),
    Case("vision_transformer.py", "PyTorch examples: vision_transformer"),
    Case("nanogpt.py", "nanoGPT"),
    Case("mingpt.py", "minGPT"),
    Case("makemore.py", "makemore"),
    Case("wgan_gp.py", "PyTorch-GAN: wgan_gp"),
    Case("cyclegan.py", "PyTorch-GAN: cyclegan, in double precision"),
    Case("cleanrl_ppo.py", "CleanRL: ppo_continuous_action"),
    Case("cleanrl_ppo.py --rpo", "CleanRL: rpo_continuous_action"),
    Case("cleanrl_pqn.py", "CleanRL: pqn"),
    Case("cleanrl_values.py", "CleanRL: dqn"),
    Case("cleanrl_values.py --c51", "CleanRL: c51"),
    Case("cleanrl_actor_critic.py --algo ddpg", "CleanRL: ddpg_continuous_action"),
    Case("cleanrl_actor_critic.py --algo td3", "CleanRL: td3_continuous_action"),
    Case("cleanrl_actor_critic.py --algo sac", "CleanRL: sac_continuous_action"),
    Case("spinup_vpg.py", "Spinning Up: vpg"),
    Case("ddpm.py", "denoising-diffusion-pytorch"),
    Case("unet.py", "Pytorch-UNet"),
    Case("cifar_resnet.py", "pytorch-cifar: ResNet"),
    Case("vit_pytorch.py", "vit-pytorch"),
)
