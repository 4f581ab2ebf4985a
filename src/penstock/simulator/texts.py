"""The poems that the model `poet` knows by heart, written for this project, and how a prompt picks one."""

import re

_HAN = re.compile("[\u3400-\u9fff]")

CHINESE_POEM = """《秋水》

一夜风过，山色浅了三分，
桐叶替我写信，寄给远行的人。
水把月光一粒一粒数给石头听，
不多一声，也不少一声。
雁去的方向，天空慢慢合上，
只留一盏灯，照着收过的谷场。

（这首诗是写在剧本里的，由 Penstock 的模拟器逐字念出，不是模型的创作。）"""

ENGLISH_POEM = """Autumn at the Sluice

The gate goes up; the water starts to speak,
a leaf, a word, a leaf, from hill to creek.
It brings whatever all the maples say
and does not lose one letter on the way.
The evening counts them: amber, rust and gold,
each told but once, and in the order told.

(A scripted poem, recited by Penstock's simulator. No model wrote it.)"""


def poem_for(prompt: str) -> str:
    """Return the Chinese poem for a prompt with Chinese characters, else the English one."""
    return CHINESE_POEM if _HAN.search(prompt) else ENGLISH_POEM
