"""Every client of every protocol, behind one question: these inputs to this model, what comes out?

Offsets of sequences travel as tensors `NAME.lod` here, in questions and in answers; each asker
turns them into what its protocol has.
"""
