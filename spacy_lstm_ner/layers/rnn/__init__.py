"""Recurrent layers: `cells` are the equations, `cpu` and `gpu` run them, `stack` has the layers that users build."""
