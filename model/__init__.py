"""A model of the choreography's protocol, checked by Spin in every order of its steps."""
