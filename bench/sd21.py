"""Stable Diffusion 2.1's UNet and VAE decoder in plain PyTorch, random weights: the other side of test/bench/full-size.mjs.

    python bench/sd21.py [--runs 20]

Needs PyTorch with CUDA and nothing else. The layers are diffusers' (UNet2DConditionModel, AutoencoderKL), in fp16 and
channels_last with scaled_dot_product_attention, eager and as a CUDA graph. Prints one JSON line per measurement: median ms.
"""
import argparse
import json
import statistics

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = [320, 640, 1280, 1280]
CONTEXT = 1024


class Resnet(nn.Module):
    def __init__(self, cin, cout, time=None, eps=1e-5):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(32, cin, eps), nn.Conv2d(cin, cout, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(32, cout, eps), nn.Conv2d(cout, cout, 3, padding=1)
        self.time = nn.Linear(time, cout) if time else None
        self.shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x, temb=None):
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time is not None:
            h = h + self.time(F.silu(temb))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, c, context, heads, bias=False):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(n, c, bias=bias) for n in (c, context, context))
        self.out = nn.Linear(c, c)

    def forward(self, x, context):
        n, t, c = x.shape
        split = lambda y: y.view(n, -1, self.heads, c // self.heads).transpose(1, 2)
        y = F.scaled_dot_product_attention(split(self.q(x)), split(self.k(context)), split(self.v(context)))
        return self.out(y.transpose(1, 2).reshape(n, t, c))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.proj_in, self.proj_out = nn.GroupNorm(32, c, 1e-6), nn.Linear(c, c), nn.Linear(c, c)
        self.norms = nn.ModuleList(nn.LayerNorm(c) for _ in range(3))
        self.attn1, self.attn2 = Attention(c, c, c // 64), Attention(c, CONTEXT, c // 64)
        self.up, self.down = nn.Linear(c, c * 8), nn.Linear(c * 4, c)

    def forward(self, x, context):
        n, c, h, w = x.shape
        y = self.proj_in(self.norm(x).permute(0, 2, 3, 1).reshape(n, h * w, c))
        z = self.norms[0](y)
        y = y + self.attn1(z, z)
        y = y + self.attn2(self.norms[1](y), context)
        a, b = self.up(self.norms[2](y)).chunk(2, dim=-1)
        y = y + self.down(a * F.gelu(b))
        return x + self.proj_out(y).reshape(n, h, w, c).permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        time = CHANNELS[0] * 4
        self.time = nn.Sequential(nn.Linear(CHANNELS[0], time), nn.SiLU(), nn.Linear(time, time))
        self.conv_in, self.conv_out = nn.Conv2d(4, 320, 3, padding=1), nn.Conv2d(320, 4, 3, padding=1)
        self.norm_out = nn.GroupNorm(32, 320)
        self.down, self.up, skips, c = nn.ModuleList(), nn.ModuleList(), [320], 320
        for level, out in enumerate(CHANNELS):
            for _ in range(2):
                self.down.append(nn.ModuleList([Resnet(c, out, time), Transformer(out) if level < 3 else None]))
                c = out
                skips.append(c)
            if level < 3:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.mid = nn.ModuleList([Resnet(c, c, time), Transformer(c), Resnet(c, c, time)])
        for level, out in reversed(list(enumerate(CHANNELS))):
            for _ in range(3):
                block = [Resnet(c + skips.pop(), out, time), Transformer(out) if level < 3 else None]
                self.up.append(nn.ModuleList(block))
                c = out
            if level > 0:
                self.up.append(nn.Conv2d(c, c, 3, padding=1))

    def forward(self, x, t, context):
        half = CHANNELS[0] // 2
        angles = t[:, None].float() * torch.exp(-torch.arange(half, device=x.device) * (9.210340371976184 / half))[None]
        temb = self.time(torch.cat([angles.cos(), angles.sin()], dim=-1).to(x.dtype))
        h = self.conv_in(x)
        skips = [h]
        for block in self.down:
            if isinstance(block, nn.Conv2d):
                h = block(h)
            else:
                h = block[0](h, temb)
                h = block[1](h, context) if block[1] is not None else h
            skips.append(h)
        h = self.mid[2](self.mid[1](self.mid[0](h, temb), context), temb)
        for block in self.up:
            if isinstance(block, nn.Conv2d):
                h = block(F.interpolate(h, scale_factor=2.0, mode="nearest"))
            else:
                h = block[0](torch.cat([h, skips.pop()], dim=1), temb)
                h = block[1](h, context) if block[1] is not None else h
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        widths, c = [512, 512, 256, 128], 512
        self.first, self.conv_in = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 512, 3, padding=1)
        self.mid = nn.ModuleList([Resnet(512, 512, eps=1e-6), Attention(512, 512, 1, bias=True), Resnet(512, 512, eps=1e-6)])
        self.mid_norm, self.blocks = nn.GroupNorm(32, 512, 1e-6), nn.ModuleList()
        for i, out in enumerate(widths):
            for _ in range(3):
                self.blocks.append(Resnet(c, out, eps=1e-6))
                c = out
            if i < 3:
                self.blocks.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm_out, self.conv_out = nn.GroupNorm(32, 128, 1e-6), nn.Conv2d(128, 3, 3, padding=1)

    def forward(self, x):
        h = self.mid[0](self.conv_in(self.first(x)))
        n, c, height, width = h.shape
        y = self.mid_norm(h).permute(0, 2, 3, 1).reshape(n, height * width, c)
        h = self.mid[2](h + self.mid[1](y, y).reshape(n, height, width, c).permute(0, 3, 1, 2))
        for block in self.blocks:
            h = block(F.interpolate(h, scale_factor=2.0) if isinstance(block, nn.Conv2d) else h)
        return self.conv_out(F.silu(self.norm_out(h)))


def median_ms(run, runs):
    times = []
    for _ in range(runs):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def graphed(run):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    say = lambda name, ms, flop: print(json.dumps({"name": name, "ms": round(ms, 4), "tflops": round(flop / ms / 1e9, 1)}), flush=True)
    print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name()}), flush=True)
    half = {"device": "cuda", "dtype": torch.float16}

    a, b = (torch.randn(4096, 4096, **half) for _ in range(2))
    for _ in range(50):
        a @ b.T
    say("matmul 4096^3, cuBLAS", median_ms(lambda: a @ b.T, runs), 2 * 4096**3)

    net = UNet().to(**half).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 64, 64, **half).to(memory_format=torch.channels_last)
    t, context = torch.full((2,), 500, device="cuda"), torch.randn(2, 77, CONTEXT, **half)
    step = lambda: net(x, t, context)
    for _ in range(5):
        step()
    say("UNet step, batch 2, 64 x 64, eager channels_last", median_ms(step, runs), 1608e9)
    say("UNet step, batch 2, 64 x 64, CUDA graph", median_ms(graphed(step), runs), 1608e9)

    decoder = Decoder().to(**half).to(memory_format=torch.channels_last)
    latents = torch.randn(1, 4, 64, 64, **half).to(memory_format=torch.channels_last)
    decode = lambda: decoder(latents)
    for _ in range(5):
        decode()
    say("VAE decode 512 px, eager channels_last", median_ms(decode, runs), 2515e9)
    say("VAE decode 512 px, CUDA graph", median_ms(graphed(decode), runs), 2515e9)


main()
