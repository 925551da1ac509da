"""What tests of programs that use lowfare need: a scripted client, a virtual clock."""
